"""FCN on all four levels on ResNet-18, from a checkpoint of PiCIE.

The backbone is as PiCIE trains it, with strides 4 to 32.
"""

_base_ = f'{__import__("mmseg").__path__[0]}/.mim/configs/_base_/models/fcn_hr18.py'

model = dict(
    pretrained=None,
    backbone=dict(
        _delete_=True,
        type='ResNet',
        depth=18,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/picie_fpn_r18_cocostuff/epoch_10.pth',
            prefix='backbone.',
        ),
    ),
    decode_head=dict(in_channels=[64, 128, 256, 512], channels=128),
)
