"""PiCIE on frozen DINOv2 ViT-S/14 on CamVid, 11 classes, at 224 x 224.

Paper: Cho et al., PiCIE, CVPR 2021; CamVid and transformers are not in it.
Command: python tools/train.py configs/picie_vit-s14_frozen_camvid.py
timm downloads the weights from its hub; model.backbone.weights=FILE takes them from a file.
"""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/models/picie_vit-s14_frozen.py',
    './_base_/datasets/camvid.py',
    './_base_/schedules/picie_small.py',
]

model = dict(decode_head=dict(num_clusters=11, predict_views=(0, 1)))

_base_.train_pipeline[1].update(base_size=448, view_size=224)
_base_.test_pipeline[3].update(size=224)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
