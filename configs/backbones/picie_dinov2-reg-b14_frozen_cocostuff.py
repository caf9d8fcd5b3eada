"""PiCIE on frozen DINOv2 ViT-B/14 with registers on COCO-Stuff-27, at 322 x 322.

Command: python tools/train.py configs/backbones/picie_dinov2-reg-b14_frozen_cocostuff.py
timm downloads the weights from its hub; model.backbone.weights=FILE takes them from a file.
"""

_base_ = '../picie_vit-s14_frozen_cocostuff.py'

model = dict(
    backbone=dict(model_name='vit_base_patch14_reg4_dinov2.lvd142m', out_indices=(-1,), norm=True),
    neck=dict(in_channels=(768,), out_channels=256),
    decode_head=dict(in_channels=256),
)
