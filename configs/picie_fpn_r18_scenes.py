"""PiCIE with ResNet-18 from scratch on the embedded scenes: no download, no extra package.

Command: python tools/train.py configs/picie_fpn_r18_scenes.py
"""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/models/picie_fpn_r18.py',
    './_base_/datasets/synthetic_scenes.py',
    './_base_/schedules/picie_small.py',
]

# View 1 is trained on whole scenes, as they are evaluated; view 0 on crops of them.
model = dict(backbone=dict(init_cfg=None), decode_head=dict(num_clusters=9, predict_views=(1, 0)))
