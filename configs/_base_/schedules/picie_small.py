"""The recipe for a few hundred images: 3 epochs, smaller clustering batches."""

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, fused=True))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=3, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

default_hooks = dict(
    acceleration=dict(type='AccelerationHook'),  # the speed of docs/performance.md
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=5, log_metric_by_epoch=True),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=1),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='MatchedVisualizationHook', draw=True, interval=2),
    clustering=dict(
        type='KMeansCentroidHook',
        batch_size=32,
        num_init_batches=5,
        num_iters=20,
        batches_per_update=1,
    ),
    class_map=dict(type='ClusterToClassHook'),
)
