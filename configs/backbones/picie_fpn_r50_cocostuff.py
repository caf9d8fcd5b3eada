"""PiCIE with ResNet-50 on COCO-Stuff-27.

Command: python tools/train.py configs/backbones/picie_fpn_r50_cocostuff.py
The paper gives ResNets from 50 layers on 256 channels of features.
"""

_base_ = '../picie_fpn_r18_cocostuff.py'

model = dict(
    backbone=dict(depth=50, init_cfg=dict(checkpoint='torchvision://resnet50')),
    neck=dict(in_channels=(256, 512, 1024, 2048), out_channels=256),
    decode_head=dict(in_channels=256),
)
