"""The KFP face of train."""

from kfp import dsl

from petalflow.images import CPU


@dsl.component(base_image=CPU, install_kfp_package=False)
def train(
    dataset: dsl.Input[dsl.Dataset], state_uri: str, train_config: str, code_version: str, model: dsl.Output[dsl.Model]
) -> None:
    """Trains a model on the dataset; code_version is there for the cache."""
    from components.train.settings import TrainSettings
    from petalflow.step import running

    with running("train", state_uri):
        from components.train.checkpoint import training_uri
        from components.train.train import train as work

        state = training_uri(state_uri, dataset.metadata["fingerprint"], train_config, code_version)
        info = work(dataset.path, model.path, TrainSettings.from_json(train_config), state)
    model.framework = f"keras {info['versions']['keras']}"
    model.metadata.update({"best_epoch": info["best_epoch"], "validation_accuracy": info["validation_accuracy"]})
