"""PiCIE on frozen DINOv2 ViT-S/14 on COCO-Stuff-27, at 322 x 322.

Paper: Cho et al., PiCIE, CVPR 2021; transformers are not in it.
Command: python tools/train.py configs/picie_vit-s14_frozen_cocostuff.py
timm downloads the weights from its hub; model.backbone.weights=FILE takes them from a file.
"""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/models/picie_vit-s14_frozen.py',
    './_base_/datasets/cocostuff27.py',
    './_base_/schedules/picie_10e.py',
]

# 320 is no multiple of 14.
_base_.train_pipeline[1].update(base_size=644, view_size=322)
_base_.test_pipeline[3].update(size=322)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
