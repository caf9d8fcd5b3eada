"""PiCIE with invariance to colour alone, on COCO-Stuff-27 with ResNet-18.

Paper: Cho et al., PiCIE, CVPR 2021.
Command: python tools/train.py configs/picie-inv_fpn_r18_cocostuff.py
Not run by this project.
"""

_base_ = './picie_fpn_r18_cocostuff.py'

train_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='PairedViews', base_size=640, view_size=320, geometric=None),
    dict(type='PackPairedViews'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
