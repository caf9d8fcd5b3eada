"""COCO-Stuff (171 classes) with FCN on all four levels on ResNet-18, from a checkpoint of PiCIE.

Command: python tools/train.py configs/finetune/fcn_r18_cocostuff.py
"""

_base_ = ['./_base_/models/fcn_r18.py', './_base_/cocostuff.py']

model = dict(
    data_preprocessor=dict(size=(512, 512)),
    decode_head=dict(num_classes=171),
)
