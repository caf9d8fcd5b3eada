"""The released recipe: 10 epochs of Adam at a constant rate, clustering before each."""

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, fused=True))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=10, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

default_hooks = dict(
    acceleration=dict(type='AccelerationHook'),  # the speed of docs/performance.md
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=True),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=1),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='MatchedVisualizationHook', draw=True, interval=10),
    clustering=dict(
        type='KMeansCentroidHook',
        batch_size=128,
        num_init_batches=30,
        num_iters=30,
        batches_per_update=1,
    ),
    class_map=dict(type='ClusterToClassHook'),
)
