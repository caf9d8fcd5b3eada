"""PiCIE with EfficientNet-Lite0 on Cityscapes-27 squashed to 256 x 256, train to val.

Paper: Cho et al., PiCIE, CVPR 2021, which has other splits and the whole resolution.
Command: python tools/train.py configs/picie_fpn_efficientnet-lite0_cityscapes256.py
Measured here: accuracy 29.16, mIoU 6.11, means over seeds 1, 2, 3.
"""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/models/picie_fpn_efficientnet-lite0.py',
    './_base_/datasets/cityscapes256.py',
    './_base_/schedules/picie_small.py',
]

model = dict(decode_head=dict(num_clusters=27, predict_views=(0, 1)))
