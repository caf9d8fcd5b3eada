"""PiCIE with EfficientNet-Lite0 on COCO-Stuff-27.

Command: python tools/train.py configs/backbones/picie_fpn_efficientnet-lite0_cocostuff.py
The weights come with the extra `timm`; nothing is downloaded.
"""

_base_ = '../picie_fpn_r18_cocostuff.py'

model = dict(
    # What the shipped weights were trained with.
    data_preprocessor=dict(mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5)),
    backbone=dict(
        _delete_=True,
        type='TIMMBackbone',
        model_name='tf_efficientnet_lite0',
        pretrained=False,
        out_indices=(1, 2, 3, 4),
        init_cfg=dict(type='Pretrained', checkpoint='efficientnet-lite0://imagenet'),
    ),
    neck=dict(in_channels=(24, 40, 112, 320)),
)
