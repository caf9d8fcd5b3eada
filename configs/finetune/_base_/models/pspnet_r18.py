"""PSPNet on ResNet-18, from a checkpoint of PiCIE.

Dilated to stride 8 as in mmseg; the weights fit all the same.
"""

_base_ = f'{__import__("mmseg").__path__[0]}/.mim/configs/_base_/models/pspnet_r50-d8.py'

model = dict(
    pretrained=None,
    backbone=dict(
        type='ResNet',
        depth=18,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/picie_fpn_r18_cocostuff/epoch_10.pth',
            prefix='backbone.',
        ),
    ),
    decode_head=dict(in_channels=512, channels=128),
    auxiliary_head=dict(in_channels=256, channels=64),
)
