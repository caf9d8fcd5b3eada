"""Modified DeepCluster (MDC) on Cityscapes-27 at 256 x 256 with EfficientNet-Lite0.

Paper: Caron et al., Deep Clustering, ECCV 2018, as modified by Cho et al., PiCIE, CVPR 2021.
Command: python tools/train.py configs/mdc_fpn_efficientnet-lite0_cityscapes256.py
"""

_base_ = './picie_fpn_efficientnet-lite0_cityscapes256.py'

model = dict(
    decode_head=dict(_delete_=True, type='DeepClusterHead', num_clusters=27, in_channels=128)
)
train_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='PairedViews', base_size=256, view_size=160, num_views=1),
    dict(type='PackPairedViews'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
