"""PiCIE with ResNet-50 on ImageNet-S-50, 51 clusters for 50 classes and background.

Paper: Cho et al., PiCIE, CVPR 2021; the data set and its protocol are those of Gao et al.,
Large-scale unsupervised semantic segmentation.
Command: python tools/train.py configs/picie_fpn_r50_imagenet-s50.py
Reported elsewhere: PiCIE from a supervised backbone, mIoU 17.8 (validation) and 17.6 (test).
Not run by this project. The schedule is that of COCO-Stuff, the size this project's choice.
"""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/models/picie_fpn_r50.py',
    './_base_/datasets/imagenet_s50.py',
    './_base_/schedules/picie_10e.py',
]

model = dict(decode_head=dict(num_clusters=51))
