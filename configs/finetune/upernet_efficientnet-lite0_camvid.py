"""CamVid with UPerNet on EfficientNet-Lite0, from a checkpoint of PiCIE.

Command: python tools/train.py configs/finetune/upernet_efficientnet-lite0_camvid.py
"""

_base_ = [
    f'{__import__("mmseg").__path__[0]}/.mim/configs/_base_/models/upernet_r50.py',
    './_base_/camvid.py',
    './_base_/schedule_200i.py',
]

model = dict(
    # What the shipped weights were trained with.
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3, size=(160, 160)),
    pretrained=None,
    backbone=dict(
        _delete_=True,
        type='TIMMBackbone',
        model_name='tf_efficientnet_lite0',
        pretrained=False,
        out_indices=(1, 2, 3, 4),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/picie_fpn_efficientnet-lite0_camvid/epoch_3.pth',
            prefix='backbone.',
        ),
    ),
    decode_head=dict(in_channels=[24, 40, 112, 320], channels=128, num_classes=11),
    auxiliary_head=dict(in_channels=112, channels=64, num_classes=11),
)
