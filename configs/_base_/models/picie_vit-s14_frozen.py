"""PiCIE on frozen tokens of DINOv2 ViT-S/14: a 1 x 1 projection is all that learns.

The ninth of twelve blocks, before the last norm: on photographs of streets its tokens cluster
better than those of the last block. timm downloads the weights when a training begins.
"""

_base_ = './picie_fpn_r18.py'

model = dict(
    data_preprocessor=dict(size_divisor=14),
    backbone=dict(
        _delete_=True,
        type='TIMMViT',
        model_name='vit_small_patch14_dinov2.lvd142m',
        out_indices=(8,),
        norm=False,
        weights='timm',
    ),
    neck=dict(in_channels=(384,)),
    frozen=('backbone',),
)
