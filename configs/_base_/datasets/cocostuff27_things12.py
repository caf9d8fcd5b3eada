"""COCO-Stuff-27 of which the 12 classes of things are evaluated; stuff is ignored."""

_base_ = './cocostuff27.py'

classes = (
    'electronic-things',
    'appliance-things',
    'food-things',
    'furniture-things',
    'indoor-things',
    'kitchen-things',
    'accessory-things',
    'animal-things',
    'outdoor-things',
    'person-things',
    'sports-things',
    'vehicle-things',
)
train_dataloader = dict(dataset=dict(metainfo=dict(classes=classes)))
val_dataloader = dict(dataset=dict(metainfo=dict(classes=classes)))
test_dataloader = val_dataloader
