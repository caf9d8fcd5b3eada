"""PiCIE with invariance to colour alone, on Cityscapes-27 at 256 x 256, EfficientNet-Lite0.

Paper: Cho et al., PiCIE, CVPR 2021.
Command: python tools/train.py configs/picie-inv_fpn_efficientnet-lite0_cityscapes256.py
"""

_base_ = './picie_fpn_efficientnet-lite0_cityscapes256.py'

train_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='PairedViews', base_size=256, view_size=160, geometric=None),
    dict(type='PackPairedViews'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
