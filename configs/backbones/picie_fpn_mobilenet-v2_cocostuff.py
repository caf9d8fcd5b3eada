"""PiCIE with MobileNetV2 on COCO-Stuff-27.

Command: python tools/train.py configs/backbones/picie_fpn_mobilenet-v2_cocostuff.py
"""

_base_ = '../picie_fpn_r18_cocostuff.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='MobileNetV2',
        out_indices=(1, 2, 4, 6),  # strides 4, 8, 16, 32
        init_cfg=dict(type='Pretrained', checkpoint='mmcls://mobilenet_v2'),
    ),
    neck=dict(in_channels=(24, 32, 96, 320)),
)
