"""PiCIE on frozen DINOv3 ViT-B/16 on COCO-Stuff-27, at 320 x 320.

Command: python tools/train.py configs/backbones/picie_dinov3-b16_frozen_cocostuff.py
timm downloads the weights from its hub; model.backbone.weights=FILE takes them from a file.
The weights have the DINOv3 licence: pass it on with them, and name DINOv3 in papers.
"""

_base_ = '../picie_vit-s14_frozen_cocostuff.py'

model = dict(
    data_preprocessor=dict(size_divisor=16),
    backbone=dict(model_name='vit_base_patch16_dinov3.lvd1689m', out_indices=(-1,), norm=True),
    neck=dict(in_channels=(768,), out_channels=256),
    decode_head=dict(in_channels=256),
)

_base_.train_pipeline[1].update(base_size=640, view_size=320)
_base_.test_pipeline[3].update(size=320)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
