"""PiCIE on frozen ResNet-50 of DINO on COCO-Stuff-27.

Command: python tools/train.py configs/backbones/picie_fpn_dino-r50_frozen_cocostuff.py
Weights: the file dino_resnet50_pretrain.pth of DINO's authors (github.com/facebookresearch/dino),
in the folder in which the command runs. It has the names of torchvision.
"""

_base_ = '../picie_fpn_r18_cocostuff.py'

model = dict(
    backbone=dict(depth=50, init_cfg=dict(checkpoint='dino_resnet50_pretrain.pth')),
    neck=dict(in_channels=(256, 512, 1024, 2048), out_channels=256),
    decode_head=dict(in_channels=256),
    frozen=('backbone',),
)
