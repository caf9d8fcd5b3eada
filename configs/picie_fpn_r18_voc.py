"""PiCIE with ResNet-18 on Pascal VOC 2012, 20 classes and background.

Paper: Cho et al., PiCIE, CVPR 2021; VOC is not in it.
Command: python tools/train.py configs/picie_fpn_r18_voc.py
Not run by this project. The schedule and the sizes are those of COCO-Stuff.
"""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/models/picie_fpn_r18.py',
    './_base_/datasets/voc21.py',
    './_base_/schedules/picie_10e.py',
]

model = dict(decode_head=dict(num_clusters=21))
