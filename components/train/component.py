"""The KFP component of train."""

from kfp import dsl

from petalflow.container_images import CPU


@dsl.component(base_image=CPU, install_kfp_package=False)
def train(
    dataset: dsl.Input[dsl.Dataset],
    warm_start_uri: str,
    state_uri: str,
    train_config: str,
    code_version: str,
    model: dsl.Output[dsl.Model],
) -> None:
    """Trains a model on the dataset; code_version serves only the cache.

    It starts from the weights of the release at warm_start_uri, unless that is "".
    """
    from components.train.settings import TrainSettings
    from petalflow.run.execution import running

    with running("train", state_uri):
        from components.train.checkpoints import training_uri
        from components.train.outputs import artifact_metadata
        from components.train.train import train as work
        from petalflow.dataset import open_dataset

        settings = TrainSettings.from_json(train_config)
        opened = open_dataset(dataset.path)
        state = training_uri(state_uri, opened.digest(), train_config, code_version, warm_start_uri)
        info = work(dataset.path, model.path, settings, state, warm_start_uri)
    model.framework = f"keras {info['versions']['keras']}"
    model.metadata.update(artifact_metadata(info))
