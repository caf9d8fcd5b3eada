"""PiCIE with ViT-S/8 from scratch and without a decoder on CamVid, 11 classes, at 96 x 96.

Paper: Cho et al., PiCIE, CVPR 2021; CamVid and transformers are not in it.
Command: python tools/train.py configs/picie_vit-s8_camvid.py
"""

_base_ = './picie_fpn_r18_camvid.py'

model = dict(
    data_preprocessor=dict(size_divisor=8),
    backbone=dict(
        _delete_=True,
        type='TIMMBackbone',
        model_name='vit_small_patch8_224',
        pretrained=False,
        out_indices=(-1,),
        dynamic_img_size=True,
    ),
    neck=None,
    decode_head=dict(in_channels=384),
)

_base_.train_pipeline[1].update(base_size=192, view_size=96)
_base_.test_pipeline[3].update(size=96)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
