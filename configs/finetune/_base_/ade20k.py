"""ADE20K (150 classes): data, schedule and runtime of mmseg."""

_base_ = [
    f'{__import__("mmseg").__path__[0]}/.mim/configs/_base_/{name}.py'
    for name in ('datasets/ade20k', 'schedules/schedule_80k', 'default_runtime')
]
