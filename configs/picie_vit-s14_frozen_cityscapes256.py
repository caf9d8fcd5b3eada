"""PiCIE on frozen DINOv2 ViT-S/14 on Cityscapes-27 squashed to 256 x 256, train to val.

Paper: Cho et al., PiCIE, CVPR 2021; transformers are not in it.
Command: python tools/train.py configs/picie_vit-s14_frozen_cityscapes256.py
timm downloads the weights from its hub; model.backbone.weights=FILE takes them from a file.
"""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/models/picie_vit-s14_frozen.py',
    './_base_/datasets/cityscapes256.py',
    './_base_/schedules/picie_small.py',
]

model = dict(decode_head=dict(num_clusters=27, predict_views=(0, 1)))

# 18 patches of 14 pixels.
_base_.train_pipeline[1].update(base_size=252, view_size=252)
_base_.test_pipeline[3].update(size=252)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
