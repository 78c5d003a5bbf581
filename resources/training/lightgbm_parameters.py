"""Owns the table of LightGBM's parameters: which may be declared, which values they take, why others are refused.

The names and aliases are LightGBM's own (Parameters page, version 4); a test compares them with the installed
library, so that checking a declaration need not import it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from resources.errors import DeclarationError, TrainingError
from resources.names import name_error

REGRESSION_OBJECTIVES = {
    "regression": ("regression_l2", "l2", "mean_squared_error", "mse", "l2_root", "root_mean_squared_error", "rmse"),
    "regression_l1": ("l1", "mean_absolute_error", "mae"),
    "huber": (),
    "fair": (),
    "poisson": (),
    "quantile": (),
    "mape": ("mean_absolute_percentage_error",),
    "gamma": (),
    "tweedie": (),
}
OBJECTIVES = (*REGRESSION_OBJECTIVES, *(name for names in REGRESSION_OBJECTIVES.values() for name in names), "binary")


class Kind(NamedTuple):
    """What values a parameter takes, in words and as a test."""

    words: str
    accepts: Callable[[Any], bool]  # Any: JSON value, given by the user


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _choice(*names: str) -> Kind:
    return Kind(f"one of {', '.join(names)}", lambda value: value in names)


def _position(value: Any) -> bool:
    return _whole(value) and value >= 0


def _list_of(words: str, accepts: Callable[[Any], bool]) -> Kind:
    return Kind(f"a list of {words}", lambda value: isinstance(value, list | tuple) and all(map(accepts, value)))


_COUNT = Kind("a whole number of at least 1", lambda value: _whole(value) and value >= 1)
_SEVERAL = Kind("a whole number of at least 2", lambda value: _whole(value) and value >= 2)
_SIZE = Kind("a whole number of at least 0", lambda value: _whole(value) and value >= 0)
_WHOLE = Kind("a whole number", _whole)
_FLOAT = Kind("a number", _number)
_POSITIVE = Kind("a number above 0", lambda value: _number(value) and value > 0)
_AMOUNT = Kind("a number of at least 0", lambda value: _number(value) and value >= 0)
_SHARE = Kind("a number above 0 and at most 1", lambda value: _number(value) and 0 < value <= 1)
_CHANCE = Kind("a number from 0 to 1", lambda value: _number(value) and 0 <= value <= 1)
_SWITCH = Kind("true or false", lambda value: isinstance(value, bool))
_LEAVES = Kind("a whole number from 2 to 131072", lambda value: _whole(value) and 2 <= value <= 131_072)
_NUMBERS = _list_of("numbers of at least 0", lambda item: _number(item) and item >= 0)
_SIGNS = _list_of("-1, 0 or 1", lambda item: _whole(item) and item in (-1, 0, 1))
_BINS = _list_of("whole numbers of at least 2", lambda item: _whole(item) and item >= 2)
_GROUPS = _list_of("lists of feature positions", lambda item: _list_of("", _position).accepts(item))

ALLOWED: Mapping[str, tuple[Kind, str]] = {
    "alpha": (_POSITIVE, ""),
    "bagging_fraction": (_SHARE, "bagging sub_row subsample"),
    "bagging_freq": (_SIZE, "subsample_freq"),
    "bin_construct_sample_cnt": (_COUNT, "subsample_for_bin"),
    "boost_from_average": (_SWITCH, ""),
    "boosting": (_choice("gbdt", "rf", "dart"), "boost boosting_type"),
    "cat_l2": (_AMOUNT, ""),
    "cat_smooth": (_AMOUNT, ""),
    "cegb_penalty_feature_coupled": (_NUMBERS, ""),
    "cegb_penalty_feature_lazy": (_NUMBERS, ""),
    "cegb_penalty_split": (_AMOUNT, ""),
    "cegb_tradeoff": (_AMOUNT, ""),
    "data_sample_strategy": (_choice("bagging", "goss"), ""),
    "drop_rate": (_CHANCE, "rate_drop"),
    "enable_bundle": (_SWITCH, "bundle is_enable_bundle"),
    "extra_trees": (_SWITCH, "extra_tree"),
    "fair_c": (_POSITIVE, ""),
    "feature_contri": (_NUMBERS, "fc fp feature_contrib feature_penalty"),
    "feature_fraction": (_SHARE, "colsample_bytree sub_feature"),
    "feature_fraction_bynode": (_SHARE, "colsample_bynode sub_feature_bynode"),
    "feature_pre_filter": (_SWITCH, ""),
    "histogram_pool_size": (_FLOAT, "hist_pool_size"),
    "interaction_constraints": (_GROUPS, ""),
    "is_enable_sparse": (_SWITCH, "enable_sparse is_sparse sparse"),
    "is_unbalance": (_SWITCH, "unbalance unbalanced_sets"),
    "lambda_l1": (_AMOUNT, "l1_regularization reg_alpha"),
    "lambda_l2": (_AMOUNT, "l2_regularization lambda reg_lambda"),
    "learning_rate": (_POSITIVE, "eta shrinkage_rate"),
    "linear_lambda": (_AMOUNT, ""),
    "linear_tree": (_SWITCH, "linear_trees"),
    "max_bin": (_SEVERAL, "max_bins"),
    "max_bin_by_feature": (_BINS, ""),
    "max_cat_threshold": (_COUNT, ""),
    "max_cat_to_onehot": (_COUNT, ""),
    "max_delta_step": (_FLOAT, "max_leaf_output max_tree_output"),
    "max_depth": (_WHOLE, ""),
    "max_drop": (_WHOLE, ""),
    "min_data_in_bin": (_COUNT, ""),
    "min_data_in_leaf": (_SIZE, "min_child_samples min_data min_data_per_leaf min_samples_leaf"),
    "min_data_per_group": (_COUNT, ""),
    "min_gain_to_split": (_AMOUNT, "min_split_gain"),
    "min_sum_hessian_in_leaf": (_AMOUNT, "min_child_weight min_hessian min_sum_hessian min_sum_hessian_per_leaf"),
    "monotone_constraints": (_SIGNS, "mc monotone_constraint monotonic_cst"),
    "monotone_constraints_method": (
        _choice("basic", "intermediate", "advanced"),
        "mc_method monotone_constraining_method",
    ),
    "monotone_penalty": (_AMOUNT, "mc_penalty monotone_splits_penalty ms_penalty"),
    "neg_bagging_fraction": (_SHARE, "neg_bagging neg_sub_row neg_subsample"),
    "num_grad_quant_bins": (_SEVERAL, ""),
    "num_iterations": (
        _COUNT,
        "max_iter n_estimators n_iter nrounds num_boost_round num_iteration num_round num_rounds num_tree num_trees",
    ),
    "num_leaves": (_LEAVES, "max_leaf max_leaf_nodes max_leaves num_leaf"),
    "num_threads": (_COUNT, "n_jobs nthread nthreads num_thread"),
    "objective": (_choice(*OBJECTIVES), "app application loss objective_type"),
    "other_rate": (_CHANCE, ""),
    "path_smooth": (_AMOUNT, ""),
    "poisson_max_delta_step": (_POSITIVE, ""),
    "pos_bagging_fraction": (_SHARE, "pos_bagging pos_sub_row pos_subsample"),
    "quant_train_renew_leaf": (_SWITCH, ""),
    "reg_sqrt": (_SWITCH, ""),
    "scale_pos_weight": (_POSITIVE, ""),
    "sigmoid": (_POSITIVE, ""),
    "skip_drop": (_CHANCE, ""),
    "stochastic_rounding": (_SWITCH, ""),
    "top_rate": (_CHANCE, ""),
    "tweedie_variance_power": (Kind("a number from 1 to below 2", lambda value: _number(value) and 1 <= value < 2), ""),
    "uniform_drop": (_SWITCH, ""),
    "use_missing": (_SWITCH, ""),
    "use_quantized_grad": (_SWITCH, ""),
    "xgboost_dart_mode": (_SWITCH, ""),
    "zero_as_missing": (_SWITCH, ""),
}

REFUSED: Mapping[str, str] = {
    "the stage's own `seed` sets every seed": """seed random_seed random_state data_random_seed data_seed bagging_seed
        bagging_fraction_seed feature_fraction_seed drop_seed extra_seed objective_seed""",
    "it is always set so that the same inputs give the same bits": "deterministic force_row_wise force_col_wise",
    "another device gives other bits": """device_type device gpu_device_id gpu_device_id_list gpu_platform_id
        gpu_use_dp num_gpu""",
    "training runs in one process": """machines nodes workers num_machines num_machine machine_list_filename mlist
        machine_list machine_list_file local_listen_port port local_port time_out tree_learner tree tree_type
        tree_learner_type top_k topk pre_partition is_pre_partition""",
    "Penstock reads the data and writes the model": """data train train_data data_filename train_data_file valid test
        test_data valid_data test_data_file valid_data_file valid_filenames input_model model_in model_input
        output_model model_out model_output output_result name_pred pred_name predict_name predict_result
        prediction_name prediction_result config config_file snapshot_freq save_period save_binary is_save_binary
        is_save_binary_file forcedsplits_filename fs forced_splits forced_splits_file forced_splits_filename
        forcedbins_filename parser_config_file header has_header two_round two_round_loading use_two_round_loading
        precise_float_parser convert_model convert_model_file convert_model_language task task_type
        refit_decay_rate saved_feature_importance_type verbosity verbose""",
    "the declaration's columns, label and `ordinal` steps say it": """label_column label weight_column weight
        group_column group query group_id query_id query_column ignore_column blacklist ignore_feature
        categorical_feature cat_column cat_feature categorical_column categorical_features""",
    "the gate judges on unseen rows, training keeps none aside": """metric metrics metric_types metric_freq output_freq
        is_provide_training_metric train_metric training_metric is_training_metric eval_at map_at ndcg_at map_eval_at
        ndcg_eval_at multi_error_top_k auc_mu_weights early_stopping_round early_stopping early_stopping_rounds
        n_iter_no_change early_stopping_min_delta first_metric_only""",
    "Penstock trains regression and binary models": """num_class num_classes label_gain bagging_by_query
        lambdarank_truncation_level lambdarank_norm lambdarank_position_bias_regularization""",
    "it belongs to prediction, which gives one number a row": """predict_raw_score raw_score predict_rawscore
        is_predict_raw_score predict_leaf_index leaf_index is_predict_leaf_index predict_contrib contrib
        is_predict_contrib predict_disable_shape_check start_iteration_predict num_iteration_predict pred_early_stop
        pred_early_stop_freq pred_early_stop_margin""",
}

BY_FEATURE = (
    "cegb_penalty_feature_coupled",
    "cegb_penalty_feature_lazy",
    "feature_contri",
    "max_bin_by_feature",
    "monotone_constraints",
)
"""Lists with one item a feature."""

CANONICAL: Mapping[str, str] = {
    alias: name for name, (_, aliases) in ALLOWED.items() for alias in (name, *aliases.split())
}
REASONS: Mapping[str, str] = {name: reason for reason, names in REFUSED.items() for name in names.split()}


def canonical_parameters(field: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return `parameters` under LightGBM's main names, sorted.

    Raises:
        DeclarationError: If a name or value is wrong, or two names mean the same parameter.
    """
    found: dict[str, Any] = {}
    for name, value in sorted(parameters.items()):
        if name in REASONS:
            raise DeclarationError(f"{field}.{name}: cannot be set, {REASONS[name]}: remove it")
        if name not in CANONICAL:
            raise name_error(field, "LightGBM parameter", name, CANONICAL)
        main = CANONICAL[name]
        if main in found:
            raise DeclarationError(f"{field}.{name}: is another name of {main}, which is given too: keep one of them")
        kind = ALLOWED[main][0]
        if not kind.accepts(value):
            raise DeclarationError(f"{field}.{name}: must be {kind.words}, got {value!r}")
        found[main] = list(value) if isinstance(value, tuple) else value
    return found


def check_features(parameters: Mapping[str, Any], names: Sequence[str], categorical: Collection[str]) -> None:
    """Refuse parameters that do not fit the features; LightGBM itself ends the process on some of them.

    Args:
        parameters: Under their main names.
        names: Feature names, in order.
        categorical: Those that hold category codes.

    Raises:
        TrainingError: Naming the parameter, its length and the features.
    """
    for name in BY_FEATURE:
        if name in parameters and len(parameters[name]) != len(names):
            raise TrainingError(
                f"parameters.{name} has {len(parameters[name])} items, "
                f"the model has {len(names)} features: give one for each of {', '.join(names)}"
            )
    for name, sign in zip(names, parameters.get("monotone_constraints", [0] * len(names)), strict=True):
        if sign and name in categorical:
            raise TrainingError(f"parameters.monotone_constraints has {sign} for the categories {name!r}: give 0")
    if any(place >= len(names) for group in parameters.get("interaction_constraints", ()) for place in group):
        raise TrainingError(f"parameters.interaction_constraints: positions go from 0 to {len(names) - 1}")
