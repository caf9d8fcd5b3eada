"""PiCIE with EfficientNet-Lite0 on the embedded scenes: the demo.

Command: python tools/train.py configs/picie_fpn_efficientnet-lite0_scenes.py
"""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/models/picie_fpn_efficientnet-lite0.py',
    './_base_/datasets/synthetic_scenes.py',
    './_base_/schedules/picie_small.py',
]

# View 1 is trained on whole scenes, as they are evaluated; view 0 on crops of them.
model = dict(decode_head=dict(num_clusters=9, predict_views=(1, 0)))
optim_wrapper = dict(optimizer=dict(lr=5e-5))
