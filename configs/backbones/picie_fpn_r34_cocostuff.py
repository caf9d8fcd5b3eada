"""PiCIE with ResNet-34 on COCO-Stuff-27.

Command: python tools/train.py configs/backbones/picie_fpn_r34_cocostuff.py
"""

_base_ = '../picie_fpn_r18_cocostuff.py'

model = dict(backbone=dict(depth=34, init_cfg=dict(checkpoint='torchvision://resnet34')))
