"""Modified DeepCluster (MDC) on CamVid with EfficientNet-Lite0.

Paper: Caron et al., Deep Clustering, ECCV 2018, as modified by Cho et al., PiCIE, CVPR 2021.
Command: python tools/train.py configs/mdc_fpn_efficientnet-lite0_camvid.py
"""

_base_ = './picie_fpn_efficientnet-lite0_camvid.py'

model = dict(
    decode_head=dict(_delete_=True, type='DeepClusterHead', num_clusters=11, in_channels=128)
)
train_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='PairedViews', base_size=320, view_size=160, num_views=1),
    dict(type='PackPairedViews'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
