"""PiCIE with ViT-B/16 (DINO) on COCO-Stuff-27.

Command: python tools/train.py configs/backbones/picie_fpn_vit-b16_cocostuff.py
timm downloads the weights from its hub when the model is built.
"""

_base_ = '../picie_fpn_r18_cocostuff.py'

model = dict(
    data_preprocessor=dict(size_divisor=16),
    backbone=dict(
        _delete_=True,
        type='TIMMBackbone',
        model_name='vit_base_patch16_224.dino',
        pretrained=True,
        out_indices=(-1,),
        dynamic_img_size=True,
    ),
    neck=dict(in_channels=(768,), out_channels=256),
    decode_head=dict(in_channels=256),
)
