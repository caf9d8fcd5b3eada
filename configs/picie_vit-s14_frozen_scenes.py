"""PiCIE on frozen DINOv2 ViT-S/14 on the embedded scenes.

Command: python tools/train.py configs/picie_vit-s14_frozen_scenes.py
timm downloads the weights from its hub; model.backbone.weights=FILE takes them from a file.
"""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/models/picie_vit-s14_frozen.py',
    './_base_/datasets/synthetic_scenes.py',
    './_base_/schedules/picie_small.py',
]

# View 1 is trained on whole scenes, as they are evaluated; view 0 on crops of them.
model = dict(decode_head=dict(num_clusters=9, predict_views=(1, 0)))

_base_.train_pipeline[1].update(base_size=(154, 224), view_size=(154, 224))
_base_.test_pipeline[3].update(size=(154, 224))
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
