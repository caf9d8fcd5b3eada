"""CamVid with FCN on all four levels on EfficientNet-Lite0, from a checkpoint of PiCIE.

Command: python tools/train.py configs/finetune/fcn_efficientnet-lite0_camvid.py
"""

_base_ = [
    f'{__import__("mmseg").__path__[0]}/.mim/configs/_base_/models/fcn_hr18.py',
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
)
