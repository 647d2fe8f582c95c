"""Learning from images without labels, so that a few labels are enough afterwards.

    views = Views(Compose((Shift(1), Rotate(15))))
    fit(Contrastive(model, 256), x, y, epochs=40, augment=views, loss=contrastive_loss(0.5), …)
    fit(model, x[labelled], y[labelled], …)        # the same network, its last layer still as it was drawn

`model.features(x)` gives what its last layer reads; what is trained here on top of it is thrown away. The
labels y are handed through, and not looked at."""

from .contrastive import Contrastive, ProjectionHead, Views, contrastive_loss
from .masked import Masks, Reconstruction, reconstruction_loss

__all__ = ["Contrastive", "Masks", "ProjectionHead", "Reconstruction", "Views", "contrastive_loss",
           "reconstruction_loss"]
