"""Modified DeepCluster (MDC) on Cityscapes-27 with ResNet-18.

Paper: Caron et al., Deep Clustering, ECCV 2018, as modified by Cho et al., PiCIE, CVPR 2021.
Command: python tools/train.py configs/mdc_fpn_r18_cityscapes.py
Expected (accuracy / mIoU): paper 40.67 / 7.06, released log 44.4 / 6.69. Not run by this project.
"""

_base_ = './picie_fpn_r18_cityscapes.py'

model = dict(
    decode_head=dict(_delete_=True, type='DeepClusterHead', num_clusters=27, in_channels=128)
)
train_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='PairedViews', base_size=640, view_size=320, num_views=1),
    dict(type='PackPairedViews'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
