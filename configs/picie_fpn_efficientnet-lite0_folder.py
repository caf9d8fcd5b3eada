"""PiCIE with EfficientNet-Lite0 on a folder of your own images, without annotations.

Command: python tools/train.py configs/picie_fpn_efficientnet-lite0_folder.py
  --cfg-options train_dataloader.dataset.data_root=FOLDER model.decode_head.num_clusters=12
Then: python tools/predict.py CONFIG work_dirs/.../epoch_3.pth FOLDER
"""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/models/picie_fpn_efficientnet-lite0.py',
    './_base_/datasets/image_folder.py',
    './_base_/schedules/picie_small.py',
]

model = dict(decode_head=dict(num_clusters=12))
# No labels, so there is nothing to validate.
val_cfg = None
test_cfg = None
