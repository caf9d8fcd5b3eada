"""PiCIE with Swin-T on COCO-Stuff-27.

Command: python tools/train.py configs/backbones/picie_fpn_swin-t_cocostuff.py
"""

_base_ = '../picie_fpn_r18_cocostuff.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='SwinTransformer',
        init_cfg=dict(type='Pretrained', checkpoint='mmcls://swin_tiny'),
    ),
    neck=dict(in_channels=(96, 192, 384, 768), out_channels=256),
    decode_head=dict(in_channels=256),
)
