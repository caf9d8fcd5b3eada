"""Cityscapes (19 classes): data, schedule and runtime of mmseg."""

_base_ = [
    f'{__import__("mmseg").__path__[0]}/.mim/configs/_base_/{name}.py'
    for name in ('datasets/cityscapes', 'schedules/schedule_40k', 'default_runtime')
]
