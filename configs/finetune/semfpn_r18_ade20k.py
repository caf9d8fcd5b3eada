"""ADE20K (150 classes) with Semantic FPN on ResNet-18, from a checkpoint of PiCIE.

Command: python tools/train.py configs/finetune/semfpn_r18_ade20k.py
"""

_base_ = ['./_base_/models/semfpn_r18.py', './_base_/ade20k.py']

model = dict(
    data_preprocessor=dict(size=(512, 512)),
    decode_head=dict(num_classes=150),
)
