"""PiCIE with ViT-S/8 (DINO) without a decoder on COCO-Stuff-27.

Command: python tools/train.py configs/backbones/picie_vit-s8_cocostuff.py
timm downloads the weights from its hub when the model is built.
"""

_base_ = '../picie_fpn_r18_cocostuff.py'

model = dict(
    data_preprocessor=dict(size_divisor=8),
    backbone=dict(
        _delete_=True,
        type='TIMMBackbone',
        model_name='vit_small_patch8_224.dino',
        pretrained=True,
        out_indices=(-1,),
        dynamic_img_size=True,
    ),
    neck=None,
    decode_head=dict(in_channels=384),
)
