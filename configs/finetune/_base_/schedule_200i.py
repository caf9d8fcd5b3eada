"""200 iterations, however many images have labels; validated once, at the end."""

_base_ = '../../_base_/default_runtime.py'

optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01), clip_grad=None
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=10, by_epoch=False),
    dict(type='PolyLR', power=0.9, begin=10, end=200, by_epoch=False),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=200, val_interval=200)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    acceleration=dict(type='AccelerationHook'),  # the speed of docs/performance.md
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=20, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=200),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'),
)
log_processor = dict(by_epoch=False)
