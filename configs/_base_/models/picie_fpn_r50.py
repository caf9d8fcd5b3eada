"""PiCIE with ResNet-50: 256 channels in the decoder."""

_base_ = './picie_fpn_r18.py'

model = dict(
    backbone=dict(depth=50, init_cfg=dict(checkpoint='torchvision://resnet50')),
    neck=dict(in_channels=(256, 512, 1024, 2048), out_channels=256),
    decode_head=dict(in_channels=256),
)
