"""PiCIE with HRNet-W18 on COCO-Stuff-27.

Command: python tools/train.py configs/backbones/picie_fpn_hr18_cocostuff.py
"""

_base_ = '../picie_fpn_r18_cocostuff.py'

channels = (18, 36, 72, 144)
extra = dict(
    stage1=dict(
        num_modules=1, num_branches=1, block='BOTTLENECK', num_blocks=(4,), num_channels=(64,)
    ),
    stage2=dict(
        num_modules=1, num_branches=2, block='BASIC', num_blocks=(4,) * 2, num_channels=channels[:2]
    ),
    stage3=dict(
        num_modules=4, num_branches=3, block='BASIC', num_blocks=(4,) * 3, num_channels=channels[:3]
    ),
    stage4=dict(
        num_modules=3, num_branches=4, block='BASIC', num_blocks=(4,) * 4, num_channels=channels
    ),
)
model = dict(
    backbone=dict(
        _delete_=True,
        type='HRNet',
        extra=extra,
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://msra/hrnetv2_w18'),
    ),
    neck=dict(in_channels=channels),
)
