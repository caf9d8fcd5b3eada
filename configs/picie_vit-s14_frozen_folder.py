"""PiCIE on frozen DINOv2 ViT-S/14 on a folder of your own images, without annotations.

Command: python tools/train.py configs/picie_vit-s14_frozen_folder.py
  --cfg-options train_dataloader.dataset.data_root=FOLDER model.decode_head.num_clusters=12
timm downloads the weights from its hub; model.backbone.weights=FILE takes them from a file.
"""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/models/picie_vit-s14_frozen.py',
    './_base_/datasets/image_folder.py',
    './_base_/schedules/picie_small.py',
]

model = dict(decode_head=dict(num_clusters=12))
# No labels, so there is nothing to validate.
val_cfg = None
test_cfg = None

_base_.train_pipeline[1].update(base_size=448, view_size=224)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
