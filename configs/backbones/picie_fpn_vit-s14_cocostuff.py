"""PiCIE with ViT-S/14 (DINOv2) on COCO-Stuff-27.

Command: python tools/train.py configs/backbones/picie_fpn_vit-s14_cocostuff.py
timm downloads the weights from its hub when the model is built.
"""

_base_ = '../picie_fpn_r18_cocostuff.py'

model = dict(
    data_preprocessor=dict(size_divisor=14),
    backbone=dict(
        _delete_=True,
        type='TIMMBackbone',
        model_name='vit_small_patch14_dinov2.lvd142m',
        pretrained=True,
        out_indices=(-1,),
        dynamic_img_size=True,
    ),
    neck=dict(in_channels=(384,)),
)

# 320 is no multiple of 14, and a padded patch would shift features against the image.
_base_.train_pipeline[1].update(base_size=644, view_size=322)
_base_.test_pipeline[3].update(size=322)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
