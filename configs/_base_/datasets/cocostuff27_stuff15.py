"""COCO-Stuff-27 of which the 15 classes of stuff are evaluated, as 0-14; things are ignored."""

_base_ = './cocostuff27.py'

classes = (
    'ceiling-stuff',
    'floor-stuff',
    'food-stuff',
    'furniture-stuff',
    'rawmaterial-stuff',
    'textile-stuff',
    'wall-stuff',
    'window-stuff',
    'building-stuff',
    'ground-stuff',
    'plant-stuff',
    'sky-stuff',
    'solid-stuff',
    'structural-stuff',
    'water-stuff',
)
train_dataloader = dict(dataset=dict(metainfo=dict(classes=classes)))
val_dataloader = dict(dataset=dict(metainfo=dict(classes=classes)))
test_dataloader = val_dataloader
